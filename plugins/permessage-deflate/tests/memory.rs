//! What is held on the heap, counted: by idle connections, by compressors, and while a bomb is read.

#![allow(
    clippy::print_stdout,
    reason = "the table of the documentation comes from here"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use permessage_deflate::{
    Agreed, Compressors, Decompressors, Deflater, InflateError, Inflater, Options, TakeoverKeeps,
    WindowBits, Within,
};

thread_local! {
    /// Bytes that this thread put on the heap, and the most there ever were.
    static HELD: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: all is handed on to the allocator of the system.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.set(HELD.get() + layout.size() as isize);
        MOST.set(MOST.get().max(HELD.get()));
        // SAFETY: the caller keeps the rules.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        HELD.set(HELD.get() - layout.size() as isize);
        // SAFETY: the caller keeps the rules.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn bits(bits: u8) -> WindowBits {
    WindowBits::new(bits).expect("from 8 to 15")
}

fn agreed(takeover: bool, window_bits: u8) -> Agreed {
    Agreed {
        our_takeover: takeover,
        our_window_bits: bits(window_bits),
        peer_takeover: takeover,
        peer_window_bits: bits(window_bits),
    }
}

/// The heap that outgoing and incoming direction keep after a long conversation.
fn idle(agreed: Agreed, takeover_keeps: TakeoverKeeps) -> [isize; 2] {
    let options = Options {
        takeover_keeps,
        takeover_window_bits: Within::MAX,
        ..Options::default()
    };
    idle_with(agreed, &options)
}

fn idle_with(agreed: Agreed, options: &Options) -> [isize; 2] {
    let mut compressors = Compressors::default();
    let mut decompressors = Decompressors::default();
    let mut other = Deflater::new(&agreed, options);
    let mut payload = Vec::with_capacity(100_000);
    let message = [b'x'; 5000];
    let mut talk = |deflater: &mut Deflater, inflater: &mut Inflater| {
        payload.clear();
        deflater
            .piece(&mut compressors, &message, true, |bytes| {
                payload.extend_from_slice(bytes);
                Ok::<_, ()>(())
            })
            .expect("it takes all");
        inflater
            .piece(&mut decompressors, &payload, true, |_| Ok::<_, ()>(()))
            .expect("valid");
    };
    // What is shared is there before.
    talk(&mut other, &mut Inflater::new(&agreed));
    let mut deflater = Deflater::new(&agreed, options);
    let mut inflater = Inflater::new(&agreed);
    let before = HELD.get();
    for _ in 0..10 {
        talk(&mut deflater, &mut inflater);
    }
    let both = HELD.get() - before;
    MOST.set(HELD.get());
    talk(&mut deflater, &mut inflater);
    assert_eq!(MOST.get(), HELD.get(), "a message allocates nothing");
    drop(inflater);
    let ours = HELD.get() - before;
    [ours, both - ours]
}

#[test]
fn memory_of_an_idle_connection_is_what_the_options_say() {
    let inline = size_of::<Deflater>() + size_of::<Inflater>();
    println!("inline: {inline} bytes; on the heap, outgoing and incoming:");
    for window_bits in 8..=15 {
        let none = idle(agreed(false, window_bits), TakeoverKeeps::Window);
        let window = idle(agreed(true, window_bits), TakeoverKeeps::Window);
        let compressor = idle(agreed(true, window_bits), TakeoverKeeps::Compressor);
        println!(
            "{window_bits} bits: no takeover {none:?}, window {window:?}, compressor {compressor:?}"
        );
        assert_eq!(none, [0, 0]);
        assert_eq!(window, [1 << window_bits, 1 << window_bits]);
        assert!(compressor[0] < 384 * 1024);
    }
    assert!(inline <= 512);
}

#[test]
fn by_default_four_kibibytes_are_kept_for_outgoing_messages() {
    let kept = idle_with(agreed(true, 15), &Options::default());
    assert_eq!(kept, [4096, 1 << 15]);
}

#[test]
fn a_compressor_shrinks_with_its_memory_level() {
    let sizes = (1..=9).map(|level| {
        let options = Options {
            takeover_keeps: TakeoverKeeps::Compressor,
            memory_level: Within::new(level).expect("a level"),
            ..Options::default()
        };
        idle_with(agreed(true, 9), &options)[0]
    });
    let sizes: Vec<_> = sizes.collect();
    println!("a compressor of 9 bits, by memory level: {sizes:?}");
    assert!(sizes.is_sorted());
}

#[test]
fn the_window_grows_with_the_text() {
    let mut inflater = Inflater::new(&agreed(true, 15));
    let mut decompressors = Decompressors::default();
    let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    inflater
        .piece(&mut decompressors, &hello, true, |_| Ok::<_, ()>(()))
        .expect("valid");
    assert_eq!(inflater.window_bytes(), 8);
}

#[test]
fn a_bomb_stops_at_the_limit() {
    const LIMIT: usize = 1 << 20;
    let zeros = vec![0; 16 << 20];
    let mut payload = Vec::new();
    Deflater::new(&agreed(false, 15), &Options::default())
        .piece(&mut Compressors::default(), &zeros, true, |bytes| {
            payload.extend_from_slice(bytes);
            Ok::<_, ()>(())
        })
        .expect("it takes all");
    for takeover in [false, true] {
        let before = HELD.get();
        MOST.set(before);
        let mut taken = 0;
        let refused = Inflater::new(&agreed(takeover, 15)).piece(
            &mut Decompressors::default(),
            &payload,
            true,
            |bytes| {
                if taken + bytes.len() > LIMIT {
                    return Err("over the limit");
                }
                taken += bytes.len();
                Ok(())
            },
        );
        assert_eq!(refused, Err(InflateError::Refused("over the limit")));
        assert!(taken > LIMIT - 64 * 1024, "{taken}");
        let most = MOST.get() - before;
        assert!(most < 128 * 1024, "{most} bytes");
    }
}
