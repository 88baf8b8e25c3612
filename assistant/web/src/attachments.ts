/**
 * The pictures of the composer: sent one after another from the moment they are picked, until they go with a message.
 *
 * Knows nothing of messages but the key of the one that a picture edits.
 */

import { uuid } from "./identifiers";
import { words } from "./problems";
import { upload, type UploadLink } from "./upload";

export interface Attachment {
  key: string;
  name: string;
  url: string;
  state: "uploading" | "ready" | "error";
  /** Share that is sent, 0 to 1. */
  progress: number;
  error: string | null;
  imageId: string | null;
  /** Key of the message that is edited with it; null: it goes with the next message. */
  edits: string | null;
}

export class Attachments {
  private all: Attachment[] = [];
  private readonly uploads = new Map<string, AbortController>();
  private readonly local = new Map<string, { url: string; name: string }>();
  private queue: Promise<void> = Promise.resolve();

  /** `onSettled` is called when a picture is up, or with what to say when it cannot be sent. */
  constructor(
    private readonly link: UploadLink,
    private readonly onChange: (all: Attachment[]) => void,
    private readonly onSettled: (problem: string | null) => void,
  ) {}

  add(files: Iterable<File>, edits: string | null): void {
    for (const file of files) {
      const key = uuid();
      const url = URL.createObjectURL(file);
      const name = file.name || "Pasted picture";
      this.become([...this.all, { key, name, url, state: "uploading", progress: 0, error: null, imageId: null, edits }]);
      const abort = new AbortController();
      this.uploads.set(key, abort);
      this.queue = this.queue.then(() => this.send(key, file, abort.signal));
    }
  }

  /** Attach pictures that the server has. */
  addAgain(pictures: { imageId: string; url: string; name: string }[], edits: string): void {
    const ready = { state: "ready", progress: 1, error: null, edits } as const;
    this.become([...this.all, ...pictures.map((picture) => ({ ...picture, ...ready, key: uuid() }))]);
  }

  remove(key: string): void {
    this.uploads.get(key)?.abort();
    this.uploads.delete(key);
    const gone = this.all.find((a) => a.key === key);
    if (gone && (gone.imageId === null || this.local.get(gone.imageId)?.url !== gone.url)) URL.revokeObjectURL(gone.url);
    this.become(this.all.filter((a) => a.key !== key));
  }

  /** They went with a message, and are still shown in it. */
  leave(sent: Attachment[]): void {
    this.become(this.all.filter((a) => !sent.includes(a)));
  }

  /** Where a picture is that was picked on this page. */
  picked(imageId: string): { url: string; name: string } | undefined {
    return this.local.get(imageId);
  }

  private async send(key: string, file: File, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    let problem: string | null = null;
    try {
      const onProgress = (progress: number): void => this.change(key, { progress });
      const { imageId } = await upload(this.link, { file, signal, onProgress });
      const attachment = this.all.find((a) => a.key === key);
      if (!attachment) return;
      if (!this.local.has(imageId)) this.local.set(imageId, { url: attachment.url, name: attachment.name });
      this.change(key, { state: "ready", progress: 1, imageId });
    } catch (error) {
      if (signal.aborted) return;
      this.change(key, { state: "error", error: words(error) });
      problem = `${file.name || "Picture"}: ${words(error)}`;
    }
    this.onSettled(problem);
  }

  private change(key: string, change: Partial<Attachment>): void {
    this.become(this.all.map((a) => (a.key === key ? { ...a, ...change } : a)));
  }

  private become(all: Attachment[]): void {
    this.all = all;
    this.onChange(all);
  }
}
