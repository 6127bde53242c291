mod attack;
mod cases;
mod logs;
mod nowhere;
mod panics;
mod sealing;
pub mod search;
mod twins;
