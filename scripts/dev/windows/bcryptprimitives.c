// The only function of bcryptprimitives.dll that a Go program needs. Windows has this library, and Wine has it since
// version 9.
#include <windows.h>

BOOLEAN NTAPI SystemFunction036(void *buffer, ULONG length); // RtlGenRandom, of advapi32.dll

__declspec(dllexport) BOOL WINAPI ProcessPrng(BYTE *data, SIZE_T size)
{
	while (size > 0) {
		ULONG part = size < 0x10000 ? (ULONG)size : 0x10000;
		if (!SystemFunction036(data, part))
			return FALSE;
		data += part;
		size -= part;
	}
	return TRUE;
}
