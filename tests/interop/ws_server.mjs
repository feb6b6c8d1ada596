// A server of the package `ws`, or of Bun where that runs it. See `servers` for who starts it.
//
// Usage: node ws_server.mjs, or bun ws_server.mjs. Without compression when DEFLATE is 0. The first line of standard output
// is the port; then there is one line of JSON for each connection that has ended: its close code and reason, what was agreed
// on, and how many bytes came (`ws` alone tells).
//
// /echo echoes; /close?code=N&reason=R closes at once; /send?bytes=N sends one binary message and closes; /cut cuts off.

const deflate = process.env.DEFLATE !== "0";

function greet(url, send, close, cut) {
  const query = url.searchParams;
  if (url.pathname === "/close") close(Number(query.get("code")), query.get("reason") ?? "");
  if (url.pathname === "/send") {
    send(new Uint8Array(Number(query.get("bytes"))).fill(0x68));
    close(1000, "");
  }
  if (url.pathname === "/cut") cut();
}

const tell = (line) => console.log(typeof line === "object" ? JSON.stringify(line) : line);

async function serveByWs() {
  const { WebSocketServer } = await import("ws");
  const server = new WebSocketServer({
    host: "127.0.0.1",
    port: 0,
    perMessageDeflate: deflate && { threshold: 0 },
    handleProtocols: (offered) => (offered.has("second") ? "second" : false),
  });
  server.on("connection", (socket, request) => {
    const { protocol, extensions } = socket;
    const transport = request.socket;
    socket.on("error", (error) => tell({ error: error.message }));
    socket.on("message", (content, binary) => socket.send(content, { binary }));
    socket.on("close", (code, reason) =>
      tell({ code, reason: String(reason), protocol, extensions, bytes: transport.bytesRead }));
    greet(new URL(request.url, "ws://h"), (content) => socket.send(content),
      (code, reason) => socket.close(code, reason), () => socket.terminate());
  });
  server.on("listening", () => tell(server.address().port));
}

function serveByBun() {
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: (request, server) =>
      server.upgrade(request, { data: request.url }) ? undefined : new Response("no handshake", { status: 400 }),
    websocket: {
      perMessageDeflate: deflate,
      open: (socket) =>
        greet(new URL(socket.data), (content) => socket.send(content, deflate),
          (code, reason) => socket.close(code, reason), () => socket.terminate()),
      message: (socket, content) => void socket.send(content, deflate),
      close: (_, code, reason) => tell({ code, reason }),
    },
  });
  tell(server.port);
}

typeof Bun === "undefined" ? await serveByWs() : serveByBun();
