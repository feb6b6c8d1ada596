// Usage: node node_ws.mjs URL. One line of JSON for each set of options; `run` says where `ws` is installed.

import { createRequire } from "node:module";
import WebSocket from "ws";
import { exercise } from "./exercise.mjs";

const { version } = createRequire(import.meta.url)("ws/package.json");
const url = process.argv[2];

const SETS = {
  defaults: {},
  "no takeover": { serverNoContextTakeover: true, clientNoContextTakeover: true },
  "windows of 9 bits": { serverMaxWindowBits: 9, clientMaxWindowBits: 9 },
  "windows of 8 and 15 bits": { serverMaxWindowBits: 8, clientMaxWindowBits: 15 },
};

// Three fragments, the middle one empty.
function inFragments(socket, message) {
  const bytes = Buffer.from(message);
  const options = { binary: typeof message !== "string" };
  const half = bytes.length >> 1;
  socket.send(bytes.subarray(0, half), { ...options, fin: false });
  socket.send(Buffer.alloc(0), { ...options, fin: false });
  socket.send(bytes.subarray(half), { ...options, fin: true });
}

for (const [set, options] of Object.entries(SETS)) {
  let answer;
  const open = () => {
    const socket = new WebSocket(url, { perMessageDeflate: { threshold: 0, ...options } });
    // The socket itself tells the name alone.
    socket.on("upgrade", (response) => (answer = response.headers["sec-websocket-extensions"]));
    return socket;
  };
  const told = await exercise(open, inFragments);
  console.log(JSON.stringify({ version, set, ...told, extensions: answer ?? "" }));
}
