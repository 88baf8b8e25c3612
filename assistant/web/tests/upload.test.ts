import { afterEach, describe, expect, it, vi } from "vitest";

import { sha256, uuid, uuidBytes } from "../src/identifiers";
import { FileRefused, frame, HEADER_BYTES, upload } from "../src/upload";
import { connect, type FakeSocket } from "./fakes";

const data = Uint8Array.from({ length: 250 }, (_, i) => i);
const file = (): Blob => new Blob([data], { type: "image/png" });
const settle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20));

afterEach(() => void vi.unstubAllGlobals());

describe("frame", () => {
  it("is the upload id, the offset in 8 bytes big-endian, and the data", () => {
    const bytes = frame("1b4e28ba-2fa1-11d2-883f-0016d3cca427", 0x0102_0304_05, Uint8Array.of(9, 8));
    const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
    expect(hex).toBe("1b4e28ba2fa111d2883f0016d3cca427" + "0000000102030405" + "0908");
  });

  it("takes UUIDs only", () => {
    expect(() => uuidBytes("abc")).toThrow("not a UUID: abc");
    expect(uuidBytes(uuid())).toHaveLength(16);
    expect(uuid()).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });
});

describe("sha256", () => {
  const abc = new TextEncoder().encode("abc");
  const expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"; // FIPS 180-4's example

  it("is the same with and without a secure context", async () => {
    await expect(sha256(abc)).resolves.toBe(expected);
    vi.stubGlobal("crypto", { getRandomValues: crypto.getRandomValues.bind(crypto) });
    await expect(sha256(abc)).resolves.toBe(expected);
  });
});

describe("upload", () => {
  const start = () => {
    const parts = connect();
    parts.socket().welcome();
    const abort = new AbortController();
    const progress: number[] = [];
    const done = upload(parts.connection, { file: file(), signal: abort.signal, onProgress: (share) => progress.push(share) });
    return { ...parts, abort, progress, done };
  };
  const received = (socket: FakeSocket): { offset: number; bytes: number }[] =>
    socket.binary.map((b) => ({ offset: Number(new DataView(b.buffer).getBigUint64(16)), bytes: b.length - HEADER_BYTES }));

  it("begins with the hash, sends frames within the limit, ends", async () => {
    const { socket, done, progress } = start();
    await settle();
    expect(socket().last("image.begin")).toMatchObject({ bytes: 250, mime: "image/png", sha256: await sha256(data) });
    socket().ack("image.begin", { offset: 0 });
    await settle();
    expect(received(socket())).toEqual([
      { offset: 0, bytes: 100 },
      { offset: 100, bytes: 100 },
      { offset: 200, bytes: 50 },
    ]);
    expect(progress.at(-1)).toBe(1);
    expect(socket().last("image.end")["upload_id"]).toBe(socket().last("image.begin")["upload_id"]);
    socket().ack("image.end", { image_id: "i_1", width: 4, height: 3 });
    await expect(done).resolves.toEqual({ imageId: "i_1", width: 4, height: 3 });
  });

  it("sends nothing when the server has the picture", async () => {
    const { socket, done } = start();
    await settle();
    socket().ack("image.begin", { image_id: "i_1" });
    await expect(done).resolves.toMatchObject({ imageId: "i_1" });
    expect(socket().binary).toEqual([]);
  });

  it("goes on from the server's offset after a drop", async () => {
    const { connection, socket, done } = start();
    await settle();
    const first = socket().last("image.begin");
    socket().ack("image.begin", { offset: 0 });
    socket().drop();
    connection.wake();
    socket().welcome();
    await settle();
    expect(socket().last("image.begin")["upload_id"]).toBe(first["upload_id"]);
    socket().ack("image.begin", { offset: 100 });
    await settle();
    expect(received(socket()).map((f) => f.offset)).toEqual([100, 200]);
    socket().ack("image.end", { image_id: "i_1" });
    await expect(done).resolves.toMatchObject({ imageId: "i_1" });
  });

  it("gives up on a picture that breaks the connection each time", async () => {
    const { connection, socket, done } = start();
    const refused = expect(done).rejects.toThrow("connection breaks");
    for (let i = 0; i < 4; i++) {
      await settle();
      socket().ack("image.begin", { offset: 0 });
      await settle();
      socket().drop(1009);
      connection.wake();
      socket().welcome();
    }
    await refused;
  });

  it("begins again once when the server lost step", async () => {
    const { socket, done } = start();
    for (let i = 0; i < 2; i++) {
      await settle();
      socket().ack("image.begin", { offset: 0 });
      await settle();
      socket().refuse("image.end", "upload_out_of_order");
    }
    await expect(done).rejects.toMatchObject({ code: "upload_out_of_order" });
    expect(socket().sent.filter((f) => f.type === "image.begin")).toHaveLength(2);
  });

  it("passes on the server's refusal", async () => {
    const { socket, done } = start();
    await settle();
    socket().refuse("image.begin", "image_unsupported");
    await expect(done).rejects.toMatchObject({ code: "image_unsupported" });
  });

  it("refuses a file over the limit before sending", async () => {
    const { connection, socket } = start();
    const big = new Blob([new Uint8Array(1001)]);
    const done = upload(connection, { file: big, signal: new AbortController().signal, onProgress: () => {} });
    await expect(done).rejects.toBeInstanceOf(FileRefused);
    expect(socket().sent.filter((f) => f.type === "image.begin")).toEqual([]);
  });

  it("stops when the picture is removed", async () => {
    const { socket, done, abort } = start();
    await settle();
    abort.abort();
    socket().ack("image.begin", { offset: 0 });
    await expect(done).rejects.toMatchObject({ name: "AbortError" });
    expect(socket().binary).toEqual([]);
    expect(socket().last("image.end")["upload_id"]).toBe(socket().last("image.begin")["upload_id"]);
  });
});
