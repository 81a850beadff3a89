//! A disk that fails: an error at any call that writes, and a file system that is full.

mod full;
mod shim;
mod sweep;
mod workload;
