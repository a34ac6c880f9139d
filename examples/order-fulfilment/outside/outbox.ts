import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** Outgoing mail as files, one a receipt, named after the order: sending it again replaces it by the same. */
export class Outbox {
  readonly #directory: string;

  constructor(options: { readonly dataDir: string }) {
    this.#directory = join(options.dataDir, "outbox");
  }

  async send(mail: {
    readonly reference: string;
    readonly to: string;
    readonly text: string;
  }): Promise<void> {
    await mkdir(this.#directory, { recursive: true });
    await writeFile(join(this.#directory, `${mail.reference}.txt`), `To: ${mail.to}\n\n${mail.text}\n`);
  }
}
