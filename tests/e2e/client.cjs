// A client with the npm package `ws` and nothing of this project: node client.cjs URL PICTURE CUT_AFTER
// Prints every text frame as ["sent" | "received", frame], a line each.

const { createHash, randomUUID } = require("node:crypto");
const { readFileSync } = require("node:fs");
const { join } = require("node:path");
const WebSocket = require(join(__dirname, "../../assistant/web/node_modules/ws"));

const [, , url, picturePath, cutAfter] = process.argv;
let sent = 0;

const print = (direction, frame) => process.stdout.write(`${JSON.stringify([direction, frame])}\n`);

async function connect() {
  const socket = new WebSocket(url, "assistant.v1");
  const frames = [];
  let wake = () => {};
  let failure = null;
  socket.on("message", (data, isBinary) => {
    if (isBinary) failure = new Error("a binary frame came");
    else frames.push(JSON.parse(data.toString()));
    wake();
  });
  socket.on("error", (error) => ((failure = error), wake()));
  socket.on("close", (code) => ((failure ??= new Error(`closed with ${code}`)), wake()));

  async function receive() {
    while (frames.length === 0) {
      if (failure) throw failure;
      await new Promise((resolve) => (wake = resolve));
    }
    const frame = frames.shift();
    print("received", frame);
    return frame;
  }

  async function command(type, fields = {}) {
    const frame = { type, id: String(++sent), ...fields };
    print("sent", frame);
    socket.send(JSON.stringify(frame));
    for (;;) {
      const answer = await receive();
      if (answer.command_id === frame.id) throw new Error(answer.message);
      if (answer.id === frame.id) return answer;
    }
  }

  const hello = await receive();
  if (hello.type !== "hello") throw new Error(`not a hello: ${hello.type}`);
  await command("auth", { token: null, client: { name: "ws" } });
  return { socket, receive, command };
}

async function upload({ socket, command }, data) {
  const uploadId = randomUUID();
  const sha256 = createHash("sha256").update(data).digest("hex");
  await command("image.begin", { upload_id: uploadId, sha256, bytes: data.length, mime: "image/jpeg" });
  for (let offset = 0; offset < data.length; offset += 1000) {
    const head = Buffer.alloc(24);
    head.write(uploadId.replaceAll("-", ""), "hex");
    head.writeBigUInt64BE(BigInt(offset), 16);
    socket.send(Buffer.concat([head, data.subarray(offset, offset + 1000)]));
  }
  return (await command("image.end", { upload_id: uploadId })).image_id;
}

async function main() {
  const first = await connect();
  const { session_id } = await first.command("session.open");
  const image = await upload(first, readFileSync(picturePath));
  await first.command("turn.submit", { session_id, client_message_id: "c-1", text: "What is this?", images: [image] });
  let last;
  for (let deltas = 0; deltas < Number(cutAfter); ) {
    last = await first.receive();
    if (last.type === "turn.delta") deltas++;
  }
  first.socket.terminate();

  const second = await connect();
  await second.command("session.open", { session_id, cursor: { epoch: last.epoch, seq: last.seq } });
  while ((await second.receive()).type !== "turn.finished");
  await second.command("ping");
  second.socket.close();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
