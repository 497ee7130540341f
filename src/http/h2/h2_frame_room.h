// H2FrameRoom: where one nghttp2 session lays out the frames that it sends, in pages of its own.
//
// nghttp2 keeps some 16 KiB for that as long as the session lives, and needs them only while it sends. Here they can be given back to the system
// while it does not: rest(). All else of the session comes from the heap. Owner's thread; outlives its session.
#pragma once

#include <nghttp2/nghttp2.h>

#include <cstddef>

namespace ferrotunnel::http {

class H2FrameRoom {
 public:
  H2FrameRoom();
  H2FrameRoom(const H2FrameRoom&) = delete;
  H2FrameRoom& operator=(const H2FrameRoom&) = delete;
  ~H2FrameRoom();

  // For nghttp2_session_server_new3().
  [[nodiscard]] nghttp2_mem& allocator() { return allocator_; }
  // Nothing is in there that anybody reads again.
  void rest();

 private:
  static void* allocate(std::size_t size, void* self);
  static void release(void* block, void* self);
  static void* allocate_zeroed(std::size_t count, std::size_t size, void* self);
  static void* resize(void* block, std::size_t size, void* self);
  [[nodiscard]] void* lend(std::size_t size);

  nghttp2_mem allocator_;
  void* pages_ = nullptr;  // none: the system had no more, and it comes from the heap
  bool lent_ = false;
};

}  // namespace ferrotunnel::http
