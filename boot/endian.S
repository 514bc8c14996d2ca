/*
 * turn_little_endian - eight words that make a big-endian CPU a little-endian one.
 *
 *   In        -
 *   Out       goes on behind the eighth word, with MSR[LE] set
 *   Clobbers  r10 r11 lr srr0 srr1
 *   Keeps     all others
 *   Context   real mode, big-endian, interrupts and RI off (srr0 and srr1 are in use)
 *   Spec      Power ISA Book III, "Return From Interrupt Doubleword"
 *
 * The bytes of each word are swapped, for the CPU that runs them reads the other way
 * round. A file that uses this macro stands behind this one and is followed by .purgem.
 */
        .macro  turn_little_endian
        .long   0x05009f42              /* bcl    20,31,.+4 */
        .long   0xa602487d              /* mflr   r10 */
        .long   0x1c004a39              /* addi   r10,r10,28 */
        .long   0xa600607d              /* mfmsr  r11 */
        .long   0x01006b69              /* xori   r11,r11,1 (MSR[LE]) */
        .long   0xa6035a7d              /* mtsrr0 r10 */
        .long   0xa6037b7d              /* mtsrr1 r11 */
        .long   0x2400004c              /* rfid */
        .endm

