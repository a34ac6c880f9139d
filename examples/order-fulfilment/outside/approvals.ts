import type { ApprovalRequest } from "./approval-desk.ts";
import type { Companion } from "./companion.ts";

/** The approval desk as its callers see it. */
export class Approvals {
  readonly #service: Companion;

  constructor(service: Companion) {
    this.#service = service;
  }

  /** Asks for a decision. It comes as a signal; asking again asks the same. */
  async request(request: ApprovalRequest, signal: AbortSignal): Promise<void> {
    const response = await this.#service.call({ method: "POST", path: "/requests", body: request, signal });
    await response.body?.cancel();
    if (!response.ok) throw new Error(`approval desk: HTTP ${response.status}`);
  }
}
