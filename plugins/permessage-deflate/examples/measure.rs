//! What a message costs: the time of the processor and the ratio, for each level and each way of context takeover.
//! `cargo run --release -p hotsocket-permessage-deflate --example measure`

#![allow(clippy::print_stdout, reason = "the tables are what it is for")]

#[path = "../tests/codec/support.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod support;

use std::convert::Infallible;

use permessage_deflate::{
    Compressors, Decompressors, Deflater, Inflater, MemoryLevel, Options, TakeoverKeeps, Within,
};
use rustix::time::{ClockId, clock_gettime};
use support::{Random, agreed};

/// Messages of one round. Each is sent once in it, so nothing but what JSON has in common repeats.
const MESSAGES: usize = 500;
/// The best of these counts: the machine has other work.
const ROUNDS: usize = 15;

struct Cost {
    deflate_us: f64,
    inflate_us: f64,
    ratio: f64,
}

fn microseconds() -> f64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as f64 * 1e6 + now.tv_nsec as f64 / 1e3
}

fn measure(length: usize, takeover: bool, window_bits: u8, options: &Options) -> Cost {
    let mut random = Random(42);
    let messages: Vec<_> = (0..MESSAGES).map(|_| random.json(length)).collect();
    let agreed = agreed(takeover, window_bits);
    let mut compressors = Compressors::default();
    let mut decompressors = Decompressors::default();
    let (mut deflate, mut inflate, mut sent) = (f64::MAX, f64::MAX, 0);
    for _ in 0..ROUNDS {
        let mut deflater = Deflater::new(&agreed, options);
        let mut inflater = Inflater::new(&agreed);
        let mut payloads: Vec<_> = (0..MESSAGES)
            .map(|_| Vec::with_capacity(2 * length + 64))
            .collect();
        let begin = microseconds();
        for (message, payload) in messages.iter().zip(&mut payloads) {
            let Ok(()) = deflater.piece(&mut compressors, message, true, |bytes| {
                payload.extend_from_slice(bytes);
                Ok::<_, Infallible>(())
            });
        }
        deflate = deflate.min(microseconds() - begin);
        sent = payloads.iter().map(Vec::len).sum();
        let begin = microseconds();
        let mut text = Vec::with_capacity(2 * length);
        for payload in &payloads {
            text.clear();
            inflater
                .piece(&mut decompressors, payload, true, |bytes| {
                    text.extend_from_slice(bytes);
                    Ok::<_, Infallible>(())
                })
                .expect("our own");
        }
        inflate = inflate.min(microseconds() - begin);
        deflater.close(&mut compressors);
    }
    Cost {
        deflate_us: deflate / MESSAGES as f64,
        inflate_us: inflate / MESSAGES as f64,
        ratio: messages.iter().map(Vec::len).sum::<usize>() as f64 / sent as f64,
    }
}

fn main() {
    println!("1 KiB of JSON: microseconds to deflate, to inflate, ratio");
    let ways = [
        ("no takeover, 15 bits", false, 15, TakeoverKeeps::Window),
        ("window, 10 bits", true, 10, TakeoverKeeps::Window),
        ("window, 12 bits", true, 12, TakeoverKeeps::Window),
        ("window, 15 bits", true, 15, TakeoverKeeps::Window),
        ("compressor, 12 bits", true, 12, TakeoverKeeps::Compressor),
        ("compressor, 15 bits", true, 15, TakeoverKeeps::Compressor),
    ];
    for (name, takeover, window_bits, takeover_keeps) in ways {
        for level in [1, 2, 3, 4, 6, 9] {
            let options = Options {
                level: Within::new(level).expect("a level"),
                takeover_keeps,
                takeover_window_bits: Within::MAX,
                ..Options::default()
            };
            let cost = measure(1024, takeover, window_bits, &options);
            println!(
                "{name:<22} level {level}  {:6.2} {:6.2}  {:.2}",
                cost.deflate_us, cost.inflate_us, cost.ratio
            );
        }
    }
    println!("no takeover, by length and level: microseconds to deflate, ratio");
    for length in [32, 64, 128, 256, 512, 4096, 65536] {
        for level in [1, 2, 3, 6] {
            let options = Options {
                level: Within::new(level).expect("a level"),
                ..Options::default()
            };
            let cost = measure(length, false, 15, &options);
            print!(
                "{length:>6}/{level} {:7.2} {:.2}",
                cost.deflate_us, cost.ratio
            );
        }
        println!();
    }
    println!("no takeover, 64 KiB, by level and memory level: microseconds to deflate, ratio");
    for level in [1, 3, 6] {
        for memory_level in [1, 4, 6, 8, 9] {
            let options = Options {
                level: Within::new(level).expect("a level"),
                memory_level: MemoryLevel::new(memory_level).expect("a level"),
                ..Options::default()
            };
            let cost = measure(65536, false, 15, &options);
            println!(
                "level {level}, memory level {memory_level}  {:7.2} {:.2}",
                cost.deflate_us, cost.ratio
            );
        }
    }
    hostile();
}

/// What peers may send to keep the processor busy: 1 MiB of streams that are empty, and of empty blocks.
fn hostile() {
    let payloads = [
        ("empty streams", [0x03, 0x00].repeat(1 << 19)),
        (
            "empty blocks",
            [0x00, 0x00, 0x00, 0xff, 0xff].repeat((1 << 20) / 5),
        ),
    ];
    for (name, payload) in payloads {
        let mut decompressors = Decompressors::default();
        let begin = microseconds();
        let mut inflater = Inflater::new(&agreed(true, 15));
        let _ = inflater.piece(&mut decompressors, &payload, true, |_| {
            Ok::<_, Infallible>(())
        });
        let took = (microseconds() - begin) / 1e3;
        println!("1 MiB of {name}: {took:.1} ms to inflate");
    }
}
