//! The operators' documents say what the code does: its metrics, its log, the dashboard.

mod logs;
mod measures;
mod source;
