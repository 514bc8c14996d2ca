# What `make debug` adds to gdb. target/modules has the files with symbols.
set tcp connect-timeout 20
define module
  if $argc != 2
    printf "use: module NAME ADDR, with ADDR of .text from lsmod -v\n"
  else
    add-symbol-file target/modules/$arg0.ko $arg1
  end
end
document module
module NAME ADDR: add the symbols of a loaded module, whose .text is at ADDR.
end
tbreak kernel_main
printf "stopped before the first instruction; `c` goes on to kernel_main\n"
