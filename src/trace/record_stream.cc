#include "trace/record_stream.h"

#include <algorithm>
#include <limits>
#include <new>
#include <queue>
#include <utility>

#include "trace/header_reader.h"

namespace tierlib::trace {

RecordStream::RecordStream(Trace about) : about_(std::move(about)) {}

StatusOr<std::unique_ptr<RecordStream>> RecordStream::Open(std::string_view bytes, std::size_t window) {
  try {
    auto stream = std::make_unique<RecordStream>(Trace());
    TIERLIB_RETURN_IF_ERROR(ReadHeader(bytes, stream->header_, stream->about_));
    stream->reader_ = std::make_unique<ChunkReader>(bytes, stream->header_, stream->about_);
    stream->ReadPieces();
    const std::size_t widest = std::clamp(bytes.size() / kBytesPerWindowRecord, kWindowLeast, kWindowMost);
    stream->window_ = window != 0 ? window : std::clamp<std::uint64_t>(stream->MostAtOnce(), kWindowLeast, widest);
    CheckWhole(bytes, stream->header_, stream->extent_, stream->about_);
    return stream;
  } catch (const std::bad_alloc&) {
    return ResourceExhaustedError("not enough memory to read the trace");
  }
}

void RecordStream::ReadPieces() {
  // Of what was written while a copy was made it has some records and others not: it ends where that began.
  if (about_.is_copy && about_.closed) end_ns_ = header_.end_monotonic_ns;
  const auto take = [this](std::uint32_t segment, absl::Span<const Record> records) {
    Piece piece;
    std::size_t count = 0;
    for (const Record& record : records) {
      if (record.time_ns > end_ns_) continue;
      piece.begin_ns = count == 0 ? record.time_ns : std::min(piece.begin_ns, record.time_ns);
      piece.end_ns = count == 0 ? record.time_ns : std::max(piece.end_ns, record.time_ns);
      ++count;
    }
    if (count == 0) return;
    piece.segment = segment;
    piece.records = static_cast<std::uint32_t>(count);
    pieces_.push_back(piece);
    extent_.first_ns = extent_.records == 0 ? piece.begin_ns : std::min(extent_.first_ns, piece.begin_ns);
    extent_.last_ns = extent_.records == 0 ? piece.end_ns : std::max(extent_.last_ns, piece.end_ns);
    extent_.records += count;
  };
  reader_->Read([](std::size_t) {}, take);
  std::sort(pieces_.begin(), pieces_.end(), [](const Piece& a, const Piece& b) { return a.begin_ns < b.begin_ns; });
}

std::uint64_t RecordStream::MostAtOnce() const {
  const auto ends_later = [](const Piece* a, const Piece* b) { return a->end_ns > b->end_ns; };
  std::priority_queue<const Piece*, std::vector<const Piece*>, decltype(ends_later)> under_way(ends_later);
  std::uint64_t at_once = 0;
  std::uint64_t most = 0;
  for (const Piece& piece : pieces_) {
    for (; !under_way.empty() && under_way.top()->end_ns < piece.begin_ns; under_way.pop()) {
      at_once -= under_way.top()->records;
    }
    under_way.push(&piece);
    at_once += piece.records;
    most = std::max(most, at_once);
  }
  return most;
}

void RecordStream::AddProblem(std::uint64_t offset, std::string what) {
  ++about_.problem_count;
  if (about_.problems.size() < Trace::kProblemsMost) about_.problems.push_back({offset, std::move(what)});
}

void RecordStream::Collect(std::size_t first_piece, const Position& from, Position* until,
                           std::vector<Placed>& placed) {
  const auto earlier = [](const Placed& a, const Placed& b) { return a.position() < b.position(); };
  placed.clear();
  for (std::size_t i = first_piece; i < pieces_.size() && pieces_[i].begin_ns <= until->time_ns; ++i) {
    if (pieces_[i].end_ns < from.time_ns) continue;
    reader_->ReadAgain(pieces_[i].segment, scratch_);
    for (std::size_t j = 0; j < scratch_.size(); ++j) {
      const Placed one = {pieces_[i].segment, static_cast<std::uint32_t>(j), scratch_[j]};
      if (one.position() < from || *until < one.position()) continue;
      placed.push_back(one);
      if (placed.size() < 2 * window_) continue;
      std::nth_element(placed.begin(), placed.begin() + static_cast<std::ptrdiff_t>(window_ - 1), placed.end(),
                       earlier);
      placed.resize(window_);
      *until = placed.back().position();
    }
  }
  std::sort(placed.begin(), placed.end(), earlier);
}

void RecordStream::ForEachBetween(std::int64_t begin_ns, std::int64_t end_ns, Take take) {
  constexpr std::uint32_t kMost = std::numeric_limits<std::uint32_t>::max();
  const Position end = {std::min(end_ns, end_ns_), kMost, kMost};
  Position from = {begin_ns, 0, 0};
  std::vector<Placed> placed;
  placed.reserve(std::min<std::size_t>(2 * window_, static_cast<std::size_t>(extent_.records)));
  for (std::size_t first_piece = 0;;) {
    Position until = end;
    Collect(first_piece, from, &until, placed);
    for (const Placed& one : placed) take(one.record);
    if (until == end) return;
    from = {until.time_ns, until.segment, until.index + 1};
    while (first_piece < pieces_.size() && pieces_[first_piece].end_ns < from.time_ns) ++first_piece;
  }
}

}  // namespace tierlib::trace
