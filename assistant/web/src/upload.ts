/**
 * Sends one picture over the connection: begin, binary frames, end; after a drop it goes on from the server's offset.
 *
 * The server decides what a picture is; here only its size is checked before sending.
 */

import { CommandError, type Connection, ConnectionLost } from "./connection";
import { sha256, uuid, uuidBytes } from "./identifiers";
import type { Ack } from "./protocol";

/** Before the data of each frame; the limit of a frame is that of its data alone. */
export const HEADER_BYTES = 24;

/** Data in one frame; small, so that a stop or a ping need not wait behind a picture. */
const STEP_BYTES = 64 * 1024;
/** Drops in a row that brought nothing further, after which the upload fails. */
const MOST_DROPS = 4;

/** Frames are held back while more than this waits in the socket. */
const WINDOW_BYTES = 1024 * 1024;
const DRAIN_MS = 15;
const FALLBACK_MIME = "application/octet-stream";
const OUT_OF_STEP = new Set(["upload_out_of_order", "upload_unknown", "upload_incomplete"]);

export interface UploadedImage {
  imageId: string;
  width: number | null;
  height: number | null;
}

export type UploadLink = Pick<Connection, "request" | "sendBinary" | "whenReady" | "buffered" | "limits" | "generation">;

export interface UploadOptions {
  file: Blob;
  signal: AbortSignal;
  /** Told the share that is on the wire, from 0 to 1. */
  onProgress: (share: number) => void;
}

/** The file cannot be sent. */
export class FileRefused extends Error {}

/** One binary frame: 16 bytes upload id, 8 bytes offset (big-endian), data. */
export function frame(uploadId: string, offset: number, data: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(HEADER_BYTES + data.length);
  bytes.set(uuidBytes(uploadId), 0);
  new DataView(bytes.buffer).setBigUint64(16, BigInt(offset));
  bytes.set(data, HEADER_BYTES);
  return bytes;
}

/** Upload the file. Rejects with FileRefused, CommandError (the server's words), or the signal's reason. */
export async function upload(link: UploadLink, { file, signal, onProgress }: UploadOptions): Promise<UploadedImage> {
  if (file.size > link.limits.image_bytes)
    throw new FileRefused(`This picture has ${megabytes(file.size)}; at most ${megabytes(link.limits.image_bytes)} can be sent.`);
  const data = new Uint8Array(await file.arrayBuffer());
  const begin = {
    type: "image.begin",
    upload_id: uuid(),
    sha256: await sha256(data),
    bytes: data.length,
    mime: file.type || FALLBACK_MIME,
  } as const;
  let offset = -1;
  for (let drops = 0, outOfStep = 0; ; ) {
    signal.throwIfAborted();
    await link.whenReady();
    const { generation } = link;
    const check = (): void => {
      if (link.generation !== generation) throw new ConnectionLost();
      if (signal.aborted) leave(link, begin.upload_id);
      signal.throwIfAborted();
    };
    try {
      const begun = await link.request(begin);
      if (begun.image_id) return uploaded(begun);
      drops = (begun.offset ?? 0) > offset ? 0 : drops;
      offset = begun.offset ?? 0;
      await sendFrom(link, begin.upload_id, data, offset, check, onProgress);
      check();
      return uploaded(await link.request({ type: "image.end", upload_id: begin.upload_id }));
    } catch (error) {
      if (error instanceof ConnectionLost && ++drops < MOST_DROPS) continue;
      if (error instanceof ConnectionLost) throw new FileRefused("The connection breaks when this picture is sent.");
      if (error instanceof CommandError && OUT_OF_STEP.has(error.code) && outOfStep++ === 0) continue;
      throw error;
    }
  }
}

async function sendFrom(
  link: UploadLink,
  uploadId: string,
  data: Uint8Array,
  start: number,
  check: () => void,
  onProgress: (share: number) => void,
): Promise<void> {
  const step = Math.max(1, Math.min(STEP_BYTES, link.limits.chunk_bytes));
  for (let offset = start; offset < data.length; offset += step) {
    check();
    link.sendBinary(frame(uploadId, offset, data.subarray(offset, offset + step)));
    onProgress(Math.max(0, Math.min(data.length, offset + step) - link.buffered) / data.length);
    while (link.buffered > WINDOW_BYTES) await new Promise((resolve) => setTimeout(resolve, DRAIN_MS));
  }
}

/** Let the server forget a picture that was removed on the way: it counts the uploads that are open. */
function leave(link: UploadLink, uploadId: string): void {
  link.request({ type: "image.end", upload_id: uploadId }).catch(() => {}); // Refused, as it is not whole.
}

function uploaded(ack: Ack): UploadedImage {
  if (!ack.image_id) throw new Error("The server's answer was not understood.");
  return { imageId: ack.image_id, width: ack.width ?? null, height: ack.height ?? null };
}

function megabytes(bytes: number): string {
  return `${(bytes / (1024 * 1024)).toFixed(1).replace(/\.0$/, "")} MB`;
}
