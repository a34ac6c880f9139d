/** Makes the realm the same for every run, whatever the runs before it did. */
import { collectReachable, hiddenIntrinsics } from "./intrinsics.ts";
import { enableOverrides } from "./override.ts";

/**
 * Freezes the global object and all that can be reached from it or from the syntax of the language. Once, after
 * everything that is shared by the runs has been put there.
 */
export function freezeRealm(global: object): void {
  // Twice: what stands behind accessors afterwards is found before, and the accessors afterwards.
  const before = collectReachable([global, ...hiddenIntrinsics()]);
  enableOverrides(global);
  for (const object of collectReachable([...before])) {
    if (object !== global) Object.freeze(object);
  }
  try {
    Object.freeze(global);
  } catch (cause) {
    throw new Error(
      "The global object cannot be frozen: create the context with vm.constants.DONT_CONTEXTIFY",
      {
        cause,
      },
    );
  }
}
