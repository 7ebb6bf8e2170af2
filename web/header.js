// The beginning of a safetensors file, which says what is in it.

/** Its length and itself; where the length cannot be, enough to see what the file is instead. */
export function headOf(bytes) {
  const length = bytes.byteLength < 8 ? 0 : Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  return bytes.subarray(0, length > bytes.byteLength - 8 ? 64 : 8 + length);
}

/** What says which model a file is for: its name, header and size. */
export const outlineOf = ({ name, bytes }) => ({ name, head: headOf(bytes).slice(), size: bytes.byteLength });

/** A number that files with other tensors, or with these at other places, do not have. */
export const fingerprint = (bytes) =>
  headOf(bytes).reduce((hash, byte) => Math.imul(hash ^ byte, 16777619), 2166136261 ^ bytes.byteLength);
