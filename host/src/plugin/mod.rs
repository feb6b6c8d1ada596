//! Load, check, generations, adapters. Knows no socket and no config syntax.
