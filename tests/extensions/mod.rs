//! What a peer with extensions sees.

mod agreement;
mod broadcasts;
mod compression;
mod configured;
mod failures;
mod memory;
mod misbehaving;
mod negotiation;
mod replaced;
mod two_together;
