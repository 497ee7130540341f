// Where the certificates of the HTTPS port are: those that the configuration names, and those of its directory. Any thread.
#pragma once

#include <vector>

#include "base/error.h"
#include "ferrotunnel/config.h"
#include "transport/tls/certificate_book.h"

namespace ferrotunnel::app {

// Reads the directory, where one is named; of the files no more than their names. Errors: Io, BadInput: with the directory and what it lacks.
[[nodiscard]] Result<std::vector<transport::CertificateFiles>> https_files(const ServerConfig& config);

}  // namespace ferrotunnel::app
