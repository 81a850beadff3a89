//! A disk that fails: an error at any call that writes, a loss of power before it, and a file system that is full.

mod full;
mod power;
mod sweep;
mod workload;
