#pragma once

/* version: the one place that says which version this is. */

#define SLUICE_VERSION "0.1.0"
