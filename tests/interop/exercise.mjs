// One connection of a client with the WebSocket interface of browsers: every message is sent and must come back.

export const SIZES = [0, 1, 125, 126, 127, 255, 256, 1000, 4096, 16384, 65535, 65536, 65537, 262144, 1048576];
const DEADLINE_MS = 60000;

// About as compressible as what applications send, with characters of one to four bytes; `size` bytes in UTF-8.
function text(size, seed) {
  const parts = [];
  let length = 0;
  for (let nth = seed; length < size; nth++) {
    const part = `{"id":${(nth * 7919) % 100003},"name":"Grüße ${nth % 17} 🙂","price":${(nth * 31) % 977}},`;
    parts.push(part);
    length += new TextEncoder().encode(part).length;
  }
  const bytes = new TextEncoder().encode(parts.join("")).slice(0, size);
  // A character that was cut is made good with spaces.
  let end = bytes.length;
  while (end > 0 && (bytes[end - 1] & 0xc0) === 0x80) end--;
  const lead = end > 0 ? bytes[end - 1] : 0;
  const whole = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
  if (end > 0 && bytes.length - (end - 1) < whole) bytes.fill(0x20, end - 1);
  return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
}

function binary(size, seed) {
  const bytes = new Uint8Array(size);
  let state = seed + 1;
  for (let at = 0; at < size; at++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    // Half of it repeats, half is noise of four bits.
    bytes[at] = (at >> 6) & 1 ? at & 0xff : state >>> 28;
  }
  return bytes;
}

function equal(sent, came) {
  if (typeof sent === "string") return sent === came;
  if (!(came instanceof ArrayBuffer) || came.byteLength !== sent.length) return false;
  const bytes = new Uint8Array(came);
  return sent.every((byte, at) => byte === bytes[at]);
}

const bytesOf = (message) => (typeof message === "string" ? new TextEncoder().encode(message).length : message.length);

// Gives { extensions, messages, bytes, faults }. `open` gives a new connection; `send` may send in another way.
export async function exercise(open, send = (socket, message) => socket.send(message)) {
  const socket = open();
  socket.binaryType = "arraybuffer";
  const faults = [];
  const waiting = [];
  let failed = () => {};
  const failure = new Promise((_, reject) => (failed = reject));
  failure.catch(() => {});
  const timer = setTimeout(() => failed(new Error("too slow")), DEADLINE_MS);
  socket.addEventListener("error", (event) => failed(new Error(`error ${event.message ?? ""}`)));
  const closed = new Promise((resolve) => socket.addEventListener("close", resolve));
  closed.then((event) => failed(new Error(`closed with ${event.code}`)));
  socket.addEventListener("message", (event) => {
    const [sent, done] = waiting.shift() ?? [];
    if (!done) faults.push("a message that nobody sent");
    else done(equal(sent, event.data));
  });
  const ask = (message, how) =>
    Promise.race([failure, new Promise((done) => {
      waiting.push([message, done]);
      how(socket, message);
    })]);

  let messages = 0;
  let bytes = 0;
  try {
    await Promise.race([failure, new Promise((done) => socket.addEventListener("open", done))]);
    const all = SIZES.flatMap((size) => [text(size, size), binary(size, size)]);
    const check = (message, good) => {
      messages += 1;
      bytes += bytesOf(message);
      if (!good) faults.push(`${typeof message === "string" ? "text" : "binary"} of ${bytesOf(message)} differs`);
    };
    // One by one, the same again, in the way of `send`, and all at once.
    for (const message of all) check(message, await ask(message, (on, what) => on.send(what)));
    for (const message of all) check(message, await ask(message, (on, what) => on.send(what)));
    for (const message of all) check(message, await ask(message, send));
    const answers = await Promise.all(all.map((message) => ask(message, (on, what) => on.send(what))));
    answers.forEach((good, at) => check(all[at], good));
    socket.close(1000, "done");
    const event = await closed;
    if (event.code !== 1000 || event.wasClean === false) faults.push(`closed with ${event.code}`);
  } catch (fault) {
    faults.push(String(fault.message ?? fault));
    socket.close();
  }
  clearTimeout(timer);
  return { extensions: socket.extensions, messages, bytes, faults };
}
