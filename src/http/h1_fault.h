// The reasons for which a head is refused, inside this room; callers see them as Refusal (h1_head.h). Static data; any thread.
#pragma once

#include <cstdint>

#include "http/h1_head.h"

namespace ferrotunnel::http {

enum class HeadFault : std::uint8_t {
  None,
  // where lines end, and limits
  BareCr,
  BareLf,
  EmptyLines,
  HeadTooLarge,
  TooManyFields,
  // start lines
  NotHttp,
  RequestLine,
  Method,
  MethodTooLong,
  Connect,
  ConnectTarget,
  ConnectBody,
  TargetByte,
  TargetForm,
  TargetFragment,
  TargetTooLong,
  Scheme,
  Userinfo,
  Version,
  StatusLine,
  // field lines
  LeadingSpace,
  ObsFold,
  SpaceBeforeColon,
  FieldName,
  FieldNoColon,
  FieldValueByte,
  // what fields say
  HostMissing,
  HostRepeated,
  HostInvalid,
  HostDiffers,
  ContentLength,
  ContentLengthRepeated,
  TransferEncoding,
  TransferEncodingRepeated,
  TransferEncodingOn10,
  LengthAndTransferEncoding,
  ConnectionOptions,
  Expectation,
  InterimFraming,
  UpgradeUnasked,
};

// For a request, the status it deserves; for a response always 502, as it was the origin that broke the rules.
[[nodiscard]] const Refusal& refusal_of(HeadFault fault, HeadScanner::Kind kind);

[[nodiscard]] inline Parse refuse(HeadFault fault, HeadScanner::Kind kind) {
  return {Parse::Status::Bad, 0, &refusal_of(fault, kind)};
}

}  // namespace ferrotunnel::http
