//! Killed processes and damaged write-ahead logs.

mod child;
mod kill;
mod points;
mod wal;
