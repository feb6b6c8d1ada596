//! The plugin, its codec and its negotiation, checked against an inflater that is strict and shares no code with them.

mod compressing;
mod connections;
mod decompressing;
mod negotiation;
mod options;
mod rfc_examples;
mod strict;
mod support;
