/** `DOMException`, as WebIDL has it: an error whose name says what it is. */

/** Of numbers that no name has any more. */
const oldConstants: readonly (readonly [constant: string, code: number])[] = [
  ["DOMSTRING_SIZE_ERR", 2],
  ["NO_DATA_ALLOWED_ERR", 6],
  ["VALIDATION_ERR", 16],
];

/** The old numbers that go with some names; 0 for all others. */
const codes: ReadonlyMap<string, readonly [constant: string, code: number]> = new Map([
  ["IndexSizeError", ["INDEX_SIZE_ERR", 1]],
  ["HierarchyRequestError", ["HIERARCHY_REQUEST_ERR", 3]],
  ["WrongDocumentError", ["WRONG_DOCUMENT_ERR", 4]],
  ["InvalidCharacterError", ["INVALID_CHARACTER_ERR", 5]],
  ["NoModificationAllowedError", ["NO_MODIFICATION_ALLOWED_ERR", 7]],
  ["NotFoundError", ["NOT_FOUND_ERR", 8]],
  ["NotSupportedError", ["NOT_SUPPORTED_ERR", 9]],
  ["InUseAttributeError", ["INUSE_ATTRIBUTE_ERR", 10]],
  ["InvalidStateError", ["INVALID_STATE_ERR", 11]],
  ["SyntaxError", ["SYNTAX_ERR", 12]],
  ["InvalidModificationError", ["INVALID_MODIFICATION_ERR", 13]],
  ["NamespaceError", ["NAMESPACE_ERR", 14]],
  ["InvalidAccessError", ["INVALID_ACCESS_ERR", 15]],
  ["TypeMismatchError", ["TYPE_MISMATCH_ERR", 17]],
  ["SecurityError", ["SECURITY_ERR", 18]],
  ["NetworkError", ["NETWORK_ERR", 19]],
  ["AbortError", ["ABORT_ERR", 20]],
  ["URLMismatchError", ["URL_MISMATCH_ERR", 21]],
  ["QuotaExceededError", ["QUOTA_EXCEEDED_ERR", 22]],
  ["TimeoutError", ["TIMEOUT_ERR", 23]],
  ["InvalidNodeTypeError", ["INVALID_NODE_TYPE_ERR", 24]],
  ["DataCloneError", ["DATA_CLONE_ERR", 25]],
]);

export class DOMException extends Error {
  readonly #name: string;
  readonly #message: string;

  constructor(message: unknown = "", options: unknown = "Error") {
    super();
    this.#message = String(message);
    this.#name = "Error";
    if (typeof options === "object" && options !== null) {
      const name: unknown = Reflect.get(options, "name");
      if (name !== undefined) this.#name = String(name);
      if ("cause" in options) {
        Object.defineProperty(this, "cause", { value: options.cause, configurable: true, writable: true });
      }
    } else if (options !== undefined) {
      this.#name = String(options);
    }
  }

  override get name(): string {
    return this.#name;
  }

  override get message(): string {
    return this.#message;
  }

  get code(): number {
    return codes.get(this.#name)?.[1] ?? 0;
  }
}

for (const [constant, value] of [...codes.values(), ...oldConstants]) {
  for (const owner of [DOMException, DOMException.prototype]) {
    Object.defineProperty(owner, constant, { value, enumerable: true });
  }
}
