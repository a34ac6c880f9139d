/** The largest archive of a package: 32 MiB. */
export const packageBytesMax = 32 * 1024 * 1024;

/** Whether a version names a package (the SHA-256 of its archive, in hexadecimal digits), and not code that was handed in. */
export function isPackageVersion(version: string): boolean {
  return version.length === 64 && /^[0-9a-f]*$/.test(version);
}
