# What `make debug` adds to gdb: modules' symbols that come and go with the modules,
# the kernel's own structures shown as what they mean, and commands that list them.
# tools/gdb/*.py do the work.
set tcp connect-timeout 20
set breakpoint pending on
set pagination off
python import os, sys; sys.path.insert(0, os.path.join(os.getcwd(), "tools", "gdb"))
python import printers, commands, modules
