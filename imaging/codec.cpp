#include "imaging/codec.hpp"

namespace ingot::imaging {

std::unique_ptr<Codec> make_codec(Compression compression, std::size_t window_limit) {
  switch (compression) {
    case Compression::gzip:
      return make_gzip_codec();
    case Compression::xz:
      return make_xz_codec(window_limit);
    case Compression::zstd:
      return make_zstd_codec(window_limit);
    case Compression::bzip2:
      return make_bzip2_codec();
    case Compression::lz4:
      return make_lz4_codec();
  }
  return nullptr;
}

}  // namespace ingot::imaging
