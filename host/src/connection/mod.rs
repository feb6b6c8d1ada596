//! State machines without I/O: bytes in, events out; sends in, bytes out.
//!
//! Knows no socket and no clock (it is told `now`), no plugin and no path on disk.
