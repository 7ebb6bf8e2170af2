// The beginning of a safetensors file, which says what is in it.

/**
 * What says which model a file is for: its name, header and size. `bytes` are the first of it; undefined while they are too
 * few. Where the header's length cannot be one, its place is taken by enough to see what the file is instead.
 */
export function outlineOf(name, bytes, size = bytes.byteLength) {
  if (bytes.byteLength < Math.min(8, size)) return undefined;
  const length = size < 8 ? 0 : Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  const end = length > size - 8 ? Math.min(64, size) : 8 + length;
  return bytes.byteLength < end ? undefined : { name, head: bytes.slice(0, end), size };
}

/** A number that files with other tensors, or with these at other places, do not have. */
export const fingerprint = ({ head, size }) =>
  head.reduce((hash, byte) => Math.imul(hash ^ byte, 16777619), 2166136261 ^ size);
