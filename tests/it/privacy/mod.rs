mod cases;
mod nowhere;
mod panics;
mod sealing;
pub mod search;
