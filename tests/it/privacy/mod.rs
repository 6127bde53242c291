mod cases;
mod nowhere;
mod panics;
mod search;
mod sealing;
