//! What the host costs, and what it survives.

mod allocations;
mod faults;
mod idle;
