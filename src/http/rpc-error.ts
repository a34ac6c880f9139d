import type { JsonObject } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { AionError, errorTable } from "../core/errors.ts";
import type { ErrorCode, ErrorKind } from "../core/errors.ts";
import { errorHeaders, errorToJson } from "./errors.ts";
import { ErrorDetailSchema } from "./gen/aion/v1/workflows_pb.ts";

const codeOfKind: Readonly<Record<ErrorKind, Code>> = {
  usage: Code.InvalidArgument,
  denied: Code.PermissionDenied,
  not_found: Code.NotFound,
  conflict: Code.FailedPrecondition,
  failed: Code.Aborted,
  bug: Code.Internal,
  unavailable: Code.Unavailable,
};

export function rpcCodeOf(code: ErrorCode): Code {
  if (code === "endpoint_unknown") return Code.Unimplemented;
  if (code === "unauthenticated") return Code.Unauthenticated;
  if (code === "too_many_attempts" || code === "too_many_streams") return Code.ResourceExhausted;
  if (code === "payload_too_large" || code === "package_too_large") return Code.ResourceExhausted;
  if (code === "workflow_already_exists") return Code.AlreadyExists;
  return codeOfKind[errorTable[code].kind];
}

/** With the code, the hint and the details in an `ErrorDetail`. */
export function toConnectError(error: AionError): ConnectError {
  const { code, message, hint } = error;
  // As it goes over HTTP: details that are no JSON are left out.
  const { details } = (JSON.parse(errorToJson(error)) as { error: { details?: JsonObject } }).error;
  return new ConnectError(message, rpcCodeOf(code), errorHeaders(error), [
    { desc: ErrorDetailSchema, value: { code, hint, details: details ?? {} } },
  ]);
}

/** What was made of an error by `toConnectError`. */
export function fromConnectError(error: unknown): unknown {
  const detail = error instanceof ConnectError ? error.findDetails(ErrorDetailSchema)[0] : undefined;
  return detail === undefined ? error : new AionError(detail.code as ErrorCode, String(error));
}
