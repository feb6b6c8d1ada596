//! A slow and strict inflater: one byte at a time, and no reference may go further back than the window.

/// The incoming direction of a connection, as a peer with little memory has it.
pub(crate) struct Strict {
    window: usize,
    takeover: bool,
    text: Vec<u8>,
}

impl Strict {
    pub(crate) fn new(window_bits: u8, takeover: bool) -> Self {
        Self {
            window: 1 << window_bits,
            takeover,
            text: Vec::new(),
        }
    }

    /// Decompresses the payload of one message. After the last block nothing may be left.
    pub(crate) fn message(&mut self, payload: &[u8]) -> Result<Vec<u8>, String> {
        if !self.takeover {
            self.text.clear();
        }
        let begin = self.text.len();
        let bytes = [payload, &[0, 0, 0xff, 0xff]].concat();
        let mut bits = Bits { bytes, place: 0 };
        while bits.place < bits.bytes.len() * 8 {
            self.block(&mut bits)?;
        }
        let message = self.text[begin..].to_vec();
        let excess = self.text.len().saturating_sub(self.window);
        self.text.drain(..excess);
        Ok(message)
    }

    fn block(&mut self, bits: &mut Bits) -> Result<(), String> {
        let last = bits.take(1)? == 1;
        match bits.take(2)? {
            0 => {
                bits.align();
                let (length, check) = (bits.take(16)?, bits.take(16)?);
                if length != !check & 0xffff {
                    return Err("a stored block with a wrong length".to_owned());
                }
                for _ in 0..length {
                    let byte = bits.take(8)?;
                    self.text.push(byte as u8);
                }
            }
            1 => {
                let lengths: Vec<u8> = [(8, 144), (9, 112), (7, 24), (8, 8)]
                    .iter()
                    .flat_map(|(length, count)| vec![*length; *count])
                    .collect();
                self.symbols(bits, &Code::new(&lengths), &Code::new(&[5; 30]))?;
            }
            2 => {
                let (literals, distances) = dynamic(bits)?;
                self.symbols(bits, &literals, &distances)?;
            }
            _ => return Err("a block of the reserved type".to_owned()),
        }
        if last {
            bits.align();
        }
        Ok(())
    }

    fn symbols(
        &mut self,
        bits: &mut Bits,
        literals: &Code,
        distances: &Code,
    ) -> Result<(), String> {
        loop {
            let symbol = literals.symbol(bits)?;
            match symbol {
                0..256 => self.text.push(symbol as u8),
                256 => return Ok(()),
                257..286 => {
                    let length = with_extra(bits, symbol - 257, 2, 3, 28)?;
                    let symbol = distances.symbol(bits)?;
                    let distance = with_extra(bits, symbol, 1, 1, 30)?;
                    if distance > self.window || distance > self.text.len() {
                        return Err(format!("a reference {distance} bytes back"));
                    }
                    for _ in 0..length {
                        self.text.push(self.text[self.text.len() - distance]);
                    }
                }
                _ => return Err(format!("length symbol {symbol}")),
            }
        }
    }
}

/// The value of a length or distance symbol: groups of `2^shift` symbols have one more extra bit each.
fn with_extra(
    bits: &mut Bits,
    symbol: usize,
    shift: u32,
    base: usize,
    end: usize,
) -> Result<usize, String> {
    let group = 1 << shift;
    if end == 28 && symbol == 28 {
        return Ok(258);
    }
    if symbol >= end {
        return Err(format!("symbol {symbol} has no meaning"));
    }
    if symbol < 2 * group {
        return Ok(base + symbol);
    }
    let extra = symbol / group - 1;
    let start = (group + symbol % group) << extra;
    Ok(base + start + bits.take(extra)?)
}

fn dynamic(bits: &mut Bits) -> Result<(Code, Code), String> {
    const ORDER: [usize; 19] = [
        16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
    ];
    let literals = bits.take(5)? + 257;
    let distances = bits.take(5)? + 1;
    let mut lengths = [0; 19];
    for index in ORDER.iter().take(bits.take(4)? + 4) {
        lengths[*index] = bits.take(3)? as u8;
    }
    let code = Code::new(&lengths);
    let mut lengths = Vec::new();
    while lengths.len() < literals + distances {
        let symbol = code.symbol(bits)?;
        let (length, count) = match symbol {
            16 => (
                *lengths.last().ok_or("nothing to repeat")?,
                3 + bits.take(2)?,
            ),
            17 => (0, 3 + bits.take(3)?),
            18 => (0, 11 + bits.take(7)?),
            length => (length as u8, 1),
        };
        lengths.extend(vec![length; count]);
    }
    if lengths.len() > literals + distances {
        return Err("too many code lengths".to_owned());
    }
    let (literals, distances) = lengths.split_at(literals);
    Ok((Code::new(literals), Code::new(distances)))
}

/// A canonical Huffman code.
struct Code {
    counts: [usize; 16],
    symbols: Vec<usize>,
}

impl Code {
    fn new(lengths: &[u8]) -> Self {
        let mut counts = [0; 16];
        let mut symbols = Vec::new();
        for length in 1..16 {
            for (symbol, _) in lengths.iter().enumerate().filter(|(_, l)| **l == length) {
                symbols.push(symbol);
                counts[usize::from(length)] += 1;
            }
        }
        Self { counts, symbols }
    }

    fn symbol(&self, bits: &mut Bits) -> Result<usize, String> {
        let (mut code, mut first, mut index) = (0, 0, 0);
        for count in &self.counts[1..] {
            code |= bits.take(1)?;
            if code < first + count {
                return Ok(self.symbols[index + code - first]);
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        Err("no such code".to_owned())
    }
}

struct Bits {
    bytes: Vec<u8>,
    place: usize,
}

impl Bits {
    fn take(&mut self, count: usize) -> Result<usize, String> {
        let mut value = 0;
        for index in 0..count {
            let byte = self.bytes.get(self.place / 8).ok_or("the end is missing")?;
            value |= usize::from(byte >> (self.place % 8) & 1) << index;
            self.place += 1;
        }
        Ok(value)
    }

    fn align(&mut self) {
        self.place = self.place.next_multiple_of(8);
    }
}

#[test]
fn it_bites() {
    // "abca", then a reference 3 bytes back, in fixed codes.
    let payload = [0x4a, 0x4c, 0x4a, 0x4e, 0x84, 0x21, 0x00, 0x00];
    assert_eq!(
        Strict::new(8, false).message(&payload).unwrap(),
        b"abcabcabcabc"
    );
    let mut narrow = Strict::new(1, false);
    assert_eq!(
        narrow.message(&payload).unwrap_err(),
        "a reference 3 bytes back"
    );
}
