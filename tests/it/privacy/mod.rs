mod attack;
mod cases;
mod detected;
mod logs;
mod nowhere;
mod panics;
pub mod sealing;
pub mod search;
mod twins;
