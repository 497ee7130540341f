// FileHandler on a stream under the test's hand, above a directory of its own.
#pragma once

#include "origin/files/file_handler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <vector>

namespace ferrotunnel::origin::files {

using transport::ResetReason;

// A stream without a link: what is not taken is held, and the test decides when there is room to send.
class FakeStream final : public transport::Stream {
 public:
  void set_handler(transport::StreamHandler& handler) override { handler_ = &handler; }
  void want_write() override { wanted = true; }
  void resume_read() override {
    if (delivering_ || reset_by) return;
    delivering_ = true;
    while (!input.empty()) {
      const std::size_t taken = handler_->on_data(*this, as_bytes(input));
      if (reset_by) return;
      ASSERT_LE(taken, input.size());
      if (taken == 0) break;
      input.erase(0, taken);
    }
    delivering_ = false;
    if (input.empty() && fin_in && !fin_told) {
      fin_told = true;
      handler_->on_fin(*this);
    }
  }
  void reset(ResetReason reason) override { reset_by = reason; }
  [[nodiscard]] std::uint32_t id() const override { return 1; }
  [[nodiscard]] std::size_t held() const override { return input.size(); }
  [[nodiscard]] bool blocked() const override { return false; }

  void say(std::string_view bytes, bool fin = false) {
    input += bytes;
    fin_in = fin_in || fin;
    resume_read();
  }
  // Lets the handler send until it wants no more, `credit` bytes at a time; at most `most` in all.
  void send(std::size_t credit = 65536, std::size_t most = SIZE_MAX) {
    std::vector<std::byte> room(credit);
    while (wanted && !reset_by && !fin_out && most > 0) {
      wanted = false;
      const transport::Fill fill = handler_->fill(*this, MutBytes(room).first(std::min(credit, most)));
      if (reset_by) return;
      ASSERT_LE(fill.n, credit);
      ASSERT_TRUE(fill.n > 0 || fill.fin || !fill.more) << "it would be asked for ever";
      output += as_text(ConstBytes(room).first(fill.n));
      most -= fill.n;
      fin_out = fill.fin;
      wanted = wanted || fill.more;
    }
  }
  void end(transport::StreamEnd how) { handler_->on_end(*this, how); }

  std::string input, output;
  bool wanted = false, fin_in = false, fin_told = false, fin_out = false;
  std::optional<ResetReason> reset_by;

 private:
  transport::StreamHandler* handler_ = nullptr;
  bool delivering_ = false;
};

// A response as it went out.
struct Answer {
  int status = 0;
  std::string head, body;
  [[nodiscard]] std::string field(std::string_view name) const {
    const std::size_t at = head.find("\r\n" + std::string(name) + ": ");
    if (at == std::string::npos) return "-";
    const std::size_t begin = at + name.size() + 4;
    return head.substr(begin, head.find("\r\n", begin) - begin);
  }
};

class FileHandlerTest : public testing::Test, private FileHandlerOwner {
 protected:
  FileHandlerTest() {
    std::string name = "/tmp/ft_handler_XXXXXX";
    base = ::mkdtemp(name.data());
    write("a.txt", "hello");
    write("empty.css", "");
    write("dir/index.html", "<p>index</p>");
    write("list/x.txt", "x");
    write("big.bin", big());
    auto opened = Root::open(base);
    EXPECT_TRUE(opened);
    root = *opened;
    restart();
  }
  ~FileHandlerTest() override {
    handler.reset();
    std::error_code error;
    std::filesystem::remove_all(base, error);
  }
  void restart() {
    handler.reset();
    stream = FakeStream();
    handler = std::make_unique<FileHandler>(shard, root, static_cast<FileHandlerOwner&>(*this));
    handler->start(stream);
  }
  // Older than what is too fresh to be trusted.
  void write(const std::string& name, std::string_view content, int age = 60) {
    const std::filesystem::path path = base + "/" + name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << content;
    std::filesystem::last_write_time(path, std::filesystem::file_time_type::clock::now() - std::chrono::seconds(age));
  }
  static std::string big() {
    std::string content(300'000, '\0');
    for (std::size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>(i * 131 >> 3);
    return content;
  }
  static std::string get(const std::string& path, const std::string& lines = {}, const std::string& method = "GET") {
    return method + " " + path + " HTTP/1.1\r\nHost: a\r\n" + lines + "\r\n";
  }
  // The answers that were sent so far, taken off the output. `head`: to HEAD.
  Answer take(bool head = false) {
    Answer answer;
    const std::size_t end = stream.output.find("\r\n\r\n");
    if (end == std::string::npos) {
      ADD_FAILURE() << "no answer: " << stream.output;
      return answer;
    }
    answer.head = stream.output.substr(0, end + 2);
    answer.status = std::atoi(answer.head.substr(9, 3).c_str());
    stream.output.erase(0, end + 4);
    if (head || answer.status == 304 || answer.status == 204) return answer;
    const std::size_t length = std::stoul(answer.field("Content-Length"));
    EXPECT_LE(length, stream.output.size());
    answer.body = stream.output.substr(0, length);
    stream.output.erase(0, length);
    return answer;
  }
  Answer ask(const std::string& path, const std::string& lines = {}, const std::string& method = "GET") {
    stream.say(get(path, lines, method));
    stream.send();
    return take(method == "HEAD");
  }
  void on_files_end(FileHandler&) override { ++ended; }

  std::string base;
  MemoryBudget budget;
  transport::Shard shard{0, budget};
  RootPtr root;
  FakeStream stream;
  std::unique_ptr<FileHandler> handler;
  int ended = 0;
};

}  // namespace ferrotunnel::origin::files
