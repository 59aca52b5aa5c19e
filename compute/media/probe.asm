# The guest that proves an accelerator (probe.go): from reset to long mode with paging,
# one SSE move and one call, then 0x21 to QEMU's exit port, which ends QEMU with 67.
# Real mode alone would prove nothing: some hosts emulate that and run no kernel.
#
#   as --64 probe.asm -o probe.o && ld -e 0 -Ttext 0 --oformat binary -o probe.rom probe.o
#
# The firmware is these bytes at 0xF0000 of a 64 KiB ROM whose last 16 bytes jump there.
.code16
start:
	cli
	mov $0xf000, %ax
	mov %ax, %ds
	xor %ax, %ax
	mov %ax, %es
	xor %eax, %eax		# page tables at 0x1000..0x3fff, 4 MiB mapped as they are
	mov $0x1000, %edi
	mov $0xc00, %ecx
	rep stosl
	movl $0x2003, %es:0x1000
	movl $0x3003, %es:0x2000
	movl $0x83, %es:0x3000
	movl $0x200083, %es:0x3008
	lgdtl gdtr - start
	mov %cr4, %eax
	or $0x620, %eax		# PAE, OSFXSR, OSXMMEXCPT
	mov %eax, %cr4
	mov $0x1000, %eax
	mov %eax, %cr3
	mov $0xc0000080, %ecx	# EFER.LME
	rdmsr
	or $0x100, %eax
	wrmsr
	mov %cr0, %eax
	or $0x80000001, %eax	# paging, protection
	and $0xfffffffb, %eax
	mov %eax, %cr0
	ljmpl $8, $(0xf0000 + long - start)
.code64
long:
	mov $0x10, %ax
	mov %ax, %ds
	mov %ax, %es
	mov %ax, %ss
	mov $0x8000, %rsp
	mov $0x20, %rax
	push %rax
	movq (%rsp), %xmm0
	movq %xmm0, %rax
	call 1f
	out %al, $0xf4
	hlt
1:	inc %rax
	ret
.align 8
gdt:	.quad 0
	.quad 0x00af9a000000ffff
	.quad 0x00cf92000000ffff
gdtr:	.word 23
	.long 0xf0000 + gdt - start
