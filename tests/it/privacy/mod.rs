mod attack;
mod cases;
mod nowhere;
mod panics;
mod sealing;
mod search;
