# SPDX-License-Identifier: Apache-2.0
# A thin door to meson: build, install, test and demo without knowing it.
BUILD ?= build

# The program and its agent alone; the tests, five times as much to compile, are built when they are asked for.
all: $(BUILD)/build.ninja
	ninja -C $(BUILD) programs

$(BUILD)/build.ninja:
	tests/install-needs build
	meson setup $(if $(PREFIX),--prefix $(abspath $(PREFIX))) $(BUILD)

# The demonstration: a GPU of the emulated host passed through to a Linux guest. Saves demo.png.
demo: all
	tests/lab/demo $(BUILD)

# All tests: unit, kvm and lab. What they need beyond the compiler is installed first.
test: $(BUILD)/build.ninja
	tests/run $(BUILD) unit kvm lab

# The same and the slow ones.
test-all: $(BUILD)/build.ninja
	tests/run $(BUILD) unit kvm lab slow

# Seconds, no KVM, no root.
test-unit: $(BUILD)/build.ninja
	tests/run $(BUILD) unit

# A hostile guest and damaged files: each target of tests/fuzz (or TARGET="pci vfio") for FUZZ_SECONDS=60, by clang's libFuzzer.
fuzz: $(BUILD)/build.ninja
	tests/install-needs fuzz
	tests/fuzz/build $(BUILD)/libfuzzer libfuzzer
	tests/fuzz/run libfuzzer $(BUILD)/libfuzzer $(TARGET)

# Side by side with QEMU and kvmtool: rewrites the table and the plot of docs/bench.md. ROWS=boot for a part only.
bench: all
	tests/install-needs bench
	tests/bench/run $(BUILD) $(ROWS)

# To /usr/local, or PREFIX=; a libtinyvmm.so.0 that is new in its folder is found after ldconfig.
install: all
	$(if $(PREFIX),meson configure $(BUILD) -Dprefix=$(abspath $(PREFIX)) && ninja -C $(BUILD) programs)
	meson install -C $(BUILD) --no-rebuild
	$(if $(DESTDIR),,if [ "$$(id -u)" = 0 ]; then ldconfig; fi)

clean:
	rm -rf $(BUILD)

.PHONY: all bench demo fuzz test test-all test-unit install clean
