// Errors: an `Error` whose `name` says which kind, as those from wasm are.

export function failure(name, message, cause) {
  const error = new Error(message, cause === undefined ? undefined : { cause });
  error.name = name;
  return error;
}
