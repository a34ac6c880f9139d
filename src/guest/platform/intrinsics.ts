/** Objects of the realm that no property leads to: only what makes an instance of them shows them. */

const own: object[] = [];

/** For what the globals' own making has of that kind: prototypes of instances, functions that only accessors give. */
export function addHidden(...objects: readonly object[]): void {
  own.push(...objects);
}

/** One instance, or function, of each hidden kind; its prototypes and accessors are what is meant. */
export function hiddenIntrinsics(): readonly object[] {
  const traced = {};
  Error.captureStackTrace(traced);
  const segments = new Intl.Segmenter().segment("");
  return [
    ...own,
    async () => {},
    function* () {},
    async function* () {},
    (function* () {})(),
    (async function* () {})(),
    [][Symbol.iterator](),
    ""[Symbol.iterator](),
    new Map()[Symbol.iterator](),
    new Set()[Symbol.iterator](),
    ""[Symbol.iterator]().map(String),
    Iterator.from({ next: () => ({ done: true, value: undefined }) }),
    "".matchAll(/./g),
    segments,
    segments[Symbol.iterator](),
    new Error("for its accessors"),
    traced,
  ];
}

/** Everything that properties, accessors and prototypes lead to. */
export function collectReachable(roots: readonly object[]): ReadonlySet<object> {
  const found = new Set<object>(roots);
  const add = (value: unknown): void => {
    if ((typeof value === "object" && value !== null) || typeof value === "function") found.add(value);
  };
  // A set that grows while it is walked is walked to its new end.
  for (const object of found) {
    add(Object.getPrototypeOf(object));
    for (const key of Reflect.ownKeys(object)) {
      const descriptor = Object.getOwnPropertyDescriptor(object, key);
      add(descriptor?.value);
      add(descriptor?.get);
      add(descriptor?.set);
    }
  }
  return found;
}
