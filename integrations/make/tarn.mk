# Put tarn in front of the compilers of a makefile: below where it sets CC and CXX,
# or at its top if it doesn't,
#
#	-include /usr/local/share/tarn/integrations/make/tarn.mk
#
# and any recipe can say $(TARN) in front of a command of its own. `make TARN=`
# builds without it, `make TARN='tarn-exec --explain'` says what happens. Where
# there is no tarn-exec on PATH, nothing changes.
ifeq ($(origin TARN),undefined)
TARN := $(shell command -v tarn-exec 2>/dev/null)
endif

# Once is enough, also in makes that this one starts.
ifeq ($(findstring tarn-exec,$(firstword $(CC))),)
CC := $(strip $(TARN) $(CC))
endif
ifeq ($(findstring tarn-exec,$(firstword $(CXX))),)
CXX := $(strip $(TARN) $(CXX))
endif

# Keys are told from here, however deep a recipe works, so that another checkout
# hits. It is the folder of the makefile that was run first.
ifndef TARN_ROOT
export TARN_ROOT := $(CURDIR)
endif
