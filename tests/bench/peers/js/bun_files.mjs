// Files of a directory, as Bun serves them. --port N --root DIR
import { parseArgs } from "node:util";
const { values: o } = parseArgs({ options: { port: { type: "string" }, root: { type: "string" } } });
Bun.serve({
  port: Number(o.port),
  hostname: "127.0.0.1",
  idleTimeout: 0,
  fetch: (request) => new Response(Bun.file(o.root + new URL(request.url).pathname)),
});
