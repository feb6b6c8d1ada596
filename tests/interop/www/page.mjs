// What a browser does with a host: each step either is well or says what is not. `driver` is the program outside that
// replaces the plugin, and takes the result.

const driver = new URLSearchParams(location.search).get("driver");
const DEADLINE_MS = 60_000;

function must(condition, what) {
  if (!condition) throw new Error(what);
}

function once(target, name) {
  return new Promise((resolve, reject) => {
    target.addEventListener(name, resolve, { once: true });
    setTimeout(() => reject(new Error(`no ${name} within ${DEADLINE_MS} ms`)), DEADLINE_MS);
  });
}

// What an EventSource is told, in order, and whether it was ever cut off.
class Listener {
  constructor() {
    this.source = new EventSource("/events");
    this.heard = [];
    this.cuts = -1;
    this.source.addEventListener("message", ({ data }) => this.heard.push(data));
    this.source.addEventListener("open", () => (this.cuts += 1));
    this.source.addEventListener("error", () => (this.cuts += 1));
  }

  opened() {
    return this.cuts === 0 ? undefined : once(this.source, "open");
  }

  async hears(...texts) {
    while (this.heard.length < texts.length) await once(this.source, "message");
    must(`${this.heard}` === `${texts}`, `heard ${this.heard}`);
    must(this.cuts === 0, `the stream was cut off ${this.cuts} times`);
  }
}

async function tell(text) {
  return (await fetch("/events", { method: "POST", body: text })).text();
}

const content = "\u00fcber <all> ".repeat(50_000);
const listener = new Listener();

const steps = {
  async "a style and a module of a files mount"() {
    must(getComputedStyle(document.forms[0]).color === "rgb(1, 2, 3)", "the style is not applied");
  },
  async "a WebSocket on the same port"() {
    const socket = new WebSocket("/echo");
    await once(socket, "open");
    socket.send("there and back");
    must((await once(socket, "message")).data === "there and back", "another message");
    socket.close();
    must((await once(socket, "close")).code === 1005, "not closed in order");
  },
  async "a file that a form uploads is listed by a program"() {
    const files = new DataTransfer();
    files.items.add(new File([content], "notes & <more>.txt", { type: "text/plain" }));
    document.forms[0].elements.file.files = files.files;
    const frame = document.querySelector("iframe");
    const loaded = once(frame, "load");
    document.forms[0].submit();
    await loaded;
    const page = frame.contentDocument;
    must(page.location.pathname === "/cgi-bin/list", `the browser was sent to ${page.location}`);
    const row = page.querySelector("li");
    must(row?.textContent === "notes & <more>.txt", `listed: ${page.body.innerHTML}`);
    must(row.dataset.bytes === `${new Blob([content]).size}`, `${row.dataset.bytes} bytes`);
  },
  async "the file comes back as it went, whole and in a range"() {
    const target = `/uploads/${encodeURIComponent("notes & <more>.txt")}`;
    must((await (await fetch(target)).text()) === content, "other content");
    const range = await fetch(target, { headers: { Range: "bytes=2-5" } });
    must(range.status === 206 && (await range.text()) === "ber ", `a range: ${range.status}`);
  },
  async "events reach an EventSource"() {
    await listener.opened();
    must((await tell("one")) === "1 listen\n", "nobody listens");
    await listener.hears("one");
  },
  async "new requests get the plugin that replaced it"() {
    const answer = await fetch(`${driver}/replace`);
    must(answer.ok, await answer.text());
    const newer = new Listener();
    await newer.opened();
    must((await tell("new")) === "1 listen\n", "the old one listens too, or nobody");
    await newer.hears("new");
    newer.source.close();
  },
  async "the old stream goes on with the old plugin"() {
    const answer = await fetch(`${driver}/tell`);
    must(answer.ok, await answer.text());
    await listener.hears("one", "from the old one");
    must(listener.source.readyState === EventSource.OPEN, "the stream is not open");
  },
};

const results = [];
for (const [what, step] of Object.entries(steps)) {
  const fault = await step().then(() => "", (error) => error.message);
  results.push({ what, fault });
}
const version = navigator.userAgent.match(/Chrome\/([\d.]+)/)?.[1] ?? navigator.userAgent;
await fetch(`${driver}/result`, { method: "POST", body: JSON.stringify({ version, results }) });
