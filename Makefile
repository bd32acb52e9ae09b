# The targets are functions in tools/targets.py, and `python3 -m tools NAME` runs them without make.
PYTHON ?= $(if $(filter Windows_NT,$(OS)),py,python3)

.DEFAULT_GOAL := help
.NOTPARALLEL:
FORCE Makefile: ;
%: FORCE
	@$(PYTHON) -m tools $@
