/** A law that a world broke. `kind` names the law: shrinking keeps it. */
export class SimulationFailure extends Error {
  readonly kind: string;

  constructor(kind: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
  }
}
