/**
 * What a module sees as `globalThis`: everything of the realm's global object, and what the module itself puts there.
 * Libraries keep things on it (zod its configuration), and the global object of a realm is frozen, being everybody's.
 *
 * Handed to the function of the module as a parameter of that name. What is put there is not found as a variable.
 */
export function createModuleGlobal(global: object): object {
  const own = Object.create(global) as object;
  for (const name of ["globalThis", "self"]) {
    Object.defineProperty(own, name, { value: own, writable: true, configurable: true });
  }
  return own;
}
