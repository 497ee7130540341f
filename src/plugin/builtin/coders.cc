#include "plugin/builtin/coders.h"

#include <brotli/encode.h>
#include <zlib.h>
#include <zstd.h>

#include <cassert>

namespace ferrotunnel::plugin {
namespace {

// A coder that keeps much to itself would give it all at once one day: this much makes it give what it has, so that Transform::kMostOut
// holds for what cannot be compressed too.
constexpr std::size_t kHeldBytes = 24 * 1024;
static_assert(kHeldBytes + 2 * Transform::kMostIn <= Transform::kMostOut);

// When what was taken has to come out.
class Held {
 public:
  [[nodiscard]] Transform::Until after(std::size_t n, Transform::Until until) {
    bytes_ += n;
    if (until == Transform::Until::More && bytes_ >= kHeldBytes) until = Transform::Until::Pause;
    if (until != Transform::Until::More) bytes_ = 0;
    return until;
  }

 private:
  std::size_t bytes_ = 0;
};

class GzipCoder final : public Transform {
 public:
  GzipCoder() {
    good_ = deflateInit2(&stream_, kLevel, Z_DEFLATED, MAX_WBITS + kGzip, kMemLevel, Z_DEFAULT_STRATEGY) == Z_OK;
  }
  GzipCoder(const GzipCoder&) = delete;
  GzipCoder& operator=(const GzipCoder&) = delete;
  ~GzipCoder() override { deflateEnd(&stream_); }
  [[nodiscard]] bool good() const { return good_; }

  [[nodiscard]] std::optional<std::size_t> run(ConstBytes in, MutBytes out, Until until) override {
    until = held_.after(in.size(), until);
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(in.data()));
    stream_.avail_in = static_cast<uInt>(in.size());
    stream_.next_out = reinterpret_cast<Bytef*>(out.data());
    stream_.avail_out = static_cast<uInt>(out.size());
    const int flush = until == Until::More ? Z_NO_FLUSH : until == Until::Pause ? Z_SYNC_FLUSH : Z_FINISH;
    const int done = deflate(&stream_, flush);
    const bool whole = until == Until::End ? done == Z_STREAM_END : done == Z_OK || done == Z_BUF_ERROR;
    if (!whole || stream_.avail_in != 0 || (until != Until::End && stream_.avail_out == 0)) return std::nullopt;
    return out.size() - stream_.avail_out;
  }
  [[nodiscard]] std::size_t memory() const override { return kMemory; }

 private:
  static constexpr int kLevel = 4;
  static constexpr int kGzip = 16;  // zlib's way to ask for gzip's wrapping
  static constexpr int kMemLevel = 8;
  static constexpr std::size_t kMemory = (1u << (MAX_WBITS + 2)) + (1u << (kMemLevel + 9));  // zconf.h
  z_stream stream_{};
  Held held_;
  bool good_ = false;
};

class ZstdCoder final : public Transform {
 public:
  ZstdCoder() : context_(ZSTD_createCCtx()) {
    if (context_ == nullptr) return;
    for (const auto& [name, value] :
         {std::pair(ZSTD_c_compressionLevel, kLevel), std::pair(ZSTD_c_windowLog, kWindowLog),
          std::pair(ZSTD_c_hashLog, kTableLog), std::pair(ZSTD_c_chainLog, kTableLog)})
      good_ = ZSTD_isError(ZSTD_CCtx_setParameter(context_, name, value)) == 0 && good_;
  }
  ZstdCoder(const ZstdCoder&) = delete;
  ZstdCoder& operator=(const ZstdCoder&) = delete;
  ~ZstdCoder() override { ZSTD_freeCCtx(context_); }
  [[nodiscard]] bool good() const { return good_ && context_ != nullptr; }

  [[nodiscard]] std::optional<std::size_t> run(ConstBytes in, MutBytes out, Until until) override {
    until = held_.after(in.size(), until);
    const ZSTD_EndDirective how = until == Until::More    ? ZSTD_e_continue
                                  : until == Until::Pause ? ZSTD_e_flush
                                                          : ZSTD_e_end;
    ZSTD_inBuffer from{in.data(), in.size(), 0};
    ZSTD_outBuffer to{out.data(), out.size(), 0};
    std::size_t left = 0;
    do {
      left = ZSTD_compressStream2(context_, &to, &from, how);
      if (ZSTD_isError(left) != 0 || (to.pos == to.size && (left != 0 || from.pos < from.size))) return std::nullopt;
    } while (from.pos < from.size || (until != Until::More && left != 0));
    return to.pos;
  }
  [[nodiscard]] std::size_t memory() const override { return kMemory; }

 private:
  static constexpr int kLevel = 3;
  static constexpr int kWindowLog = 16, kTableLog = 15;
  static constexpr std::size_t kMemory = 768 * 1024;  // ZSTD_sizeof_CCtx() of such a one under way
  ZSTD_CCtx* context_;
  Held held_;
  bool good_ = true;
};

class BrotliCoder final : public Transform {
 public:
  BrotliCoder() : state_(BrotliEncoderCreateInstance(nullptr, nullptr, nullptr)) {
    if (state_ == nullptr) return;
    BrotliEncoderSetParameter(state_, BROTLI_PARAM_QUALITY, kQuality);
    BrotliEncoderSetParameter(state_, BROTLI_PARAM_LGWIN, kWindowBits);
    BrotliEncoderSetParameter(state_, BROTLI_PARAM_MODE, BROTLI_MODE_TEXT);
  }
  BrotliCoder(const BrotliCoder&) = delete;
  BrotliCoder& operator=(const BrotliCoder&) = delete;
  ~BrotliCoder() override { BrotliEncoderDestroyInstance(state_); }
  [[nodiscard]] bool good() const { return state_ != nullptr; }

  [[nodiscard]] std::optional<std::size_t> run(ConstBytes in, MutBytes out, Until until) override {
    until = held_.after(in.size(), until);
    const BrotliEncoderOperation how = until == Until::More    ? BROTLI_OPERATION_PROCESS
                                       : until == Until::Pause ? BROTLI_OPERATION_FLUSH
                                                               : BROTLI_OPERATION_FINISH;
    std::size_t in_left = in.size(), out_left = out.size();
    const auto* next_in = reinterpret_cast<const std::uint8_t*>(in.data());
    auto* next_out = reinterpret_cast<std::uint8_t*>(out.data());
    do {
      if (BrotliEncoderCompressStream(state_, how, &in_left, &next_in, &out_left, &next_out, nullptr) == BROTLI_FALSE)
        return std::nullopt;
      if (out_left == 0) return std::nullopt;
    } while (in_left > 0 || BrotliEncoderHasMoreOutput(state_) == BROTLI_TRUE);
    return out.size() - out_left;
  }
  [[nodiscard]] std::size_t memory() const override { return kMemory; }

 private:
  static constexpr std::uint32_t kQuality = 4;
  static constexpr std::uint32_t kWindowBits = 16;
  static constexpr std::size_t kMemory = 1152 * 1024;  // tables and window, as counted by its allocator
  BrotliEncoderState* state_;
  Held held_;
};

template <class Coder>
std::unique_ptr<Transform> make() {
  auto coder = std::make_unique<Coder>();
  if (!coder->good()) return nullptr;
  return coder;
}

}  // namespace

std::unique_ptr<Transform> make_gzip_coder() { return make<GzipCoder>(); }
std::unique_ptr<Transform> make_zstd_coder() { return make<ZstdCoder>(); }
std::unique_ptr<Transform> make_brotli_coder() { return make<BrotliCoder>(); }

}  // namespace ferrotunnel::plugin
